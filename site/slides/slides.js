// A stack of slides of each section: as many cells on a slide as fit, the rest on those below it.
(async () => {
  const LEAST = 0.5;   // of the window's height: no picture is made smaller to fit on a slide
  const slides = document.querySelector(".slides");
  // there a widget hides what has its twin, and it is in it
  for (const output of document.querySelectorAll(".jp-OutputArea-child:has(.sgd-place)"))
    output.classList.remove("jp-OutputArea-child");
  for (const place of document.querySelectorAll(".sgd-place")) place.dataset.preventSwipe = "";
  await Promise.all([...document.images].map(image => {
    image.loading = "eager";
    return image.decode().catch(() => {});
  }));

  const over = slide => slide.scrollHeight - slide.clientHeight;
  const smaller = (cell, slide) => {
    const image = cell.querySelector("img"), height = image.clientHeight - over(slide) - 2;
    if (height >= LEAST * innerHeight) image.style.maxHeight = `${height}px`;
  };
  const narrow = cell => {
    for (const wide of cell.querySelectorAll("pre, .jp-OutputArea-output"))
      if (wide.scrollWidth > wide.clientWidth + 1)
        wide.style.zoom = Math.max(0.5, 0.99 * wide.clientWidth / wide.scrollWidth);
  };
  const shrink = cell => {
    const slide = cell.parentElement;
    for (let zoom = 0.95; zoom > 0.5 && over(slide) > 0; zoom -= 0.05) cell.style.zoom = zoom;
  };
  const paged = section => {
    const cells = [...section.querySelectorAll(":scope > section > *")];
    const title = section.querySelector("h1, h2")?.textContent.replace("¶", "") ?? "";
    let slide, asked = false;   // does a prediction, or an explorer, end this slide?
    const next = again => {
      slide = document.createElement("section");
      slide.className = "present";
      if (again) slide.append(Object.assign(document.createElement("p"),
        { className: "where", textContent: title }));
      section.append(slide);
    };
    // Of a cell that is too high for a slide, what it says goes on the next one; and then smaller
    const alone = cell => {
      const said = cell.querySelector(".jp-Cell-outputWrapper");
      if (said && cell.querySelector(".jp-Cell-inputWrapper pre")) {
        const rest = cell.cloneNode(false);
        rest.removeAttribute("id");
        rest.append(said);
        if (over(slide) > 0) shrink(cell);
        next(true);
        slide.append(rest);
        cell = rest;
      }
      if (over(slide) > 0) shrink(cell);
    };
    section.replaceChildren();
    next(false);
    for (const cell of cells) {
      const place = cell.querySelector(".sgd-place"), begun = slide.querySelector(".jp-Cell");
      // of an explorer nobody knows the height before it is live
      const large = place && place.dataset.size > 1e4;
      slide.append(cell);
      if (cell.matches("aside")) continue;
      if (!place) narrow(cell);
      if (!begun) {
        asked = Boolean(place);
        if (over(slide) > 0 && !place) alone(cell);
        continue;
      }
      if (!place && over(slide) > 0 && cell.querySelector("img")) smaller(cell, slide);
      if (!large && over(slide) <= 0 && !asked) asked = Boolean(place);
      else {
        next(true);
        slide.append(cell);
        asked = Boolean(place);
      }
      if (over(slide) > 0 && !place) alone(cell);
    }
    for (const made of section.children) made.classList.remove("present");
  };

  // A widget that is too high gets smaller
  const heights = new ResizeObserver(changes => {
    for (const { target } of changes) {
      if (target.dataset.live !== "") continue;
      const slide = target.closest("section");
      for (let size = 0.9; size > 0.5 && slide.clientHeight && over(slide) > 0; size -= 0.05)
        for (const [name, value] of Object.entries({ "--jp-ui-font-size1": `${size}rem`,
          "--map": `${42 * size}vh`, "--slice": `${18 * size}vh`, "--zoom": size }))
          target.style.setProperty(name, value);
    }
  });
  for (const place of document.querySelectorAll(".sgd-place")) heights.observe(place);

  for (const section of slides.children) {
    section.classList.add("present");
    paged(section);
    section.classList.remove("present");
  }

  // In a widget, its keys are its own. These leave it; a pointer for talks sends the first two.
  addEventListener("keydown", event => {
    if (!["PageDown", "PageUp", "Escape"].includes(event.key)) return;
    if (!document.activeElement.closest(".sgd-place")) return;
    document.activeElement.blur();
    if (event.key === "Escape") event.stopPropagation();
  }, true);
  const shape = innerWidth / innerHeight;   // for which the slides were made
  addEventListener("resize", () => {
    if (Math.abs(innerWidth / innerHeight / shape - 1) > 0.03) location.reload();
  });

  Reveal.initialize({
    disableLayout: true, hash: true, transition: "none", slideNumber: "c/t", plugins: [RevealNotes],
    controls: false,
    // a key that a widget has used does not turn the page
    keyboardCondition: event => !event.defaultPrevented,
  });
})();
