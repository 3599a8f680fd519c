// Makes the widgets of a page live, without a kernel. Each waits in a place, <div class="sgd-place">,
// that holds its twin, the still pictures; its state is in a file of its own, fetched when the place
// comes near the screen. A widget is any script as anywidget takes it: it gets a model and an element.
(() => {
  const media = new URL("../_media/", document.currentScript.src);
  const waiting = [...document.querySelectorAll(".sgd-place")];
  if (!waiting.length) return;

  const say = (place, text) => {
    const note = place.querySelector(".sgd-note") ?? document.createElement("p");
    note.className = "sgd-note";
    note.setAttribute("role", "status");
    note.textContent = text;
    place.prepend(note);
  };
  if (location.protocol === "file:") {   // browsers load neither modules nor data from there
    for (const place of waiting)
      say(place, "This page was opened as a file, where browsers run no widgets: these are still "
        + "pictures. To use it, serve the folder: python -m http.server");
    return;
  }

  // What anywidget's model can do where there is no Python
  const modelOf = state => {
    const calls = {};
    return {
      saved: true,   // nobody answers
      get: name => state[name],
      set(name, value) {
        const news = typeof name === "string" ? { [name]: value } : name;
        Object.assign(state, news);
        for (const key in news) (calls[`change:${key}`] ?? []).forEach(f => f());
        (calls.change ?? []).forEach(f => f());
      },
      on: (event, f) => { (calls[event] ??= []).push(f); },
      off: (event, f) => { calls[event] = f ? calls[event]?.filter(g => g !== f) : []; },
      save_changes() {},
      send() {},
    };
  };

  const got = async name => {
    const reply = await fetch(new URL(name, media));
    if (!reply.ok) throw new Error(`${name}: ${reply.status}`);
    return reply;
  };
  const stateOf = async name => {
    const { script, style, state, buffers, binary } = await (await got(name)).json();
    const bytes = binary && await (await got(binary)).arrayBuffer();
    for (const { path, start, length } of buffers)
      path.slice(0, -1).reduce((part, key) => part[key], state)[path.at(-1)]
        = new DataView(bytes, start, length);
    return { script, style, state };
  };
  const sheets = new Map();   // address of a style -> when it is there
  const styled = href => {
    if (!sheets.has(href)) sheets.set(href, new Promise(resolve => {
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
      link.onload = link.onerror = resolve;
      document.head.append(link);
    }));
    return sheets.get(href);
  };

  const start = async place => {
    const size = +place.dataset.size;
    if (size > 3e5) say(place, `Loading ${(size / 1e6).toFixed(1)} MB of pictures …`);
    try {
      const { script, style, state } = await stateOf(place.dataset.widget);
      const [module] = await Promise.all(
        [import(new URL(script, media)), styled(new URL(style, media).href)]);
      const widget = typeof module.default === "function" ? await module.default() : module.default;
      const model = modelOf(state), el = document.createElement("div");
      place.querySelector(".sgd-note")?.remove();
      place.append(el);
      await widget.initialize?.({ model });
      await widget.render({ model, el });
      place.dataset.live = "";
    } catch (error) {
      say(place, `This could not be made live (${error.message}). These are still pictures.`);
      place.dataset.live = "failed";
    }
    land();
  };

  // A link's target stays where it landed, whatever happens above it, until the reader goes on
  let landed = location.hash.length > 1;
  for (const type of ["wheel", "touchstart", "pointerdown", "keydown"])
    addEventListener(type, () => { landed = false; }, { once: true, passive: true });
  const land = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (landed) document.getElementById(id)?.scrollIntoView();
  };
  addEventListener("load", land);

  // With one screen in advance, so that nothing moves under a reader's eyes
  const near = new IntersectionObserver(seen => {
    for (const { target, isIntersecting } of seen)
      if (isIntersecting) { near.unobserve(target); start(target); }
  }, { rootMargin: "400px" });
  for (const place of waiting) {
    place.dataset.live = "waiting";
    near.observe(place);
  }
})();
