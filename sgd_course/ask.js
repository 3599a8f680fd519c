// A prediction, or what a check found: everything that it can say, it knows itself.
// From Python: _ask {kind, html, says (a list of HTML), ...} and _twin; both ways: _state {said,
// guess}, the numbers of what has been said, and the number that was guessed, as text. In `says`
// of a prediction, the second half is what is said before the experiment, the first half after it.

function render({ model, el }) {
  const ask = model.get("_ask");
  let { said = [], guess = "" } = model.get("_state");
  const button = (textContent, press) => {
    const b = control("button", { type: "button", textContent });
    b.addEventListener("click", press);
    return b;
  };
  const log = make("div", { role: "log", tabIndex: -1 });
  const note = make("span", { role: "status" }), after = make("div", { hidden: true });
  let shown = [];
  const show = () => {
    if (shown.some((k, i) => k !== said[i])) {
      log.replaceChildren();
      shown = [];
    }
    for (const k of said.slice(shown.length))
      log.append(make("div", { innerHTML: ask.says[k].replaceAll("{guess}", guess) }));
    shown = said;
    update();
  };
  const say = (all, text = "") => {
    [said, guess] = [all, text];
    show();
    model.set("_state", { said, guess });
    try { model.save_changes(); } catch (e) { console.warn("ask: no kernel", e); }
  };

  // A prediction counts once; what was right is said later. Enter is as good as the button.
  const lock = press => {
    const half = ask.says.length / 2;
    const take = () => {
      const k = press.choose();
      note.textContent = k === null ? press.refusal() : "";
      if (k !== null) say([ask.at_once ? k : k + half], press.guess?.() ?? "");
    };
    const form = make("div", {}, ...press.parts, button("Lock in", take), note);
    after.append(button("Show what was right", () => {
      log.focus({ preventScroll: true });
      say([said[0] - half], guess);
    }));
    form.addEventListener("keydown", e => {
      if (e.key !== "Enter" || e.target.tagName !== "INPUT") return;
      e.preventDefault();
      take();
    });
    const update = () => {
      after.hidden = !(said[0] >= half);
      if (!said.length) return;
      for (const c of form.querySelectorAll("input, button")) allow(c, false, log);
      note.textContent = "Locked in: the first guess counts.";
      press.fill();
    };
    return { form, update };
  };
  const kinds = {
    options() {
      const group = `sgd-${Math.random()}`;
      const radios = ask.options.map(() => control("input", { type: "radio", name: group }));
      const set = make("fieldset", {}, make("legend", { innerHTML: ask.html }),
        ...radios.map((radio, k) =>
          make("label", {}, radio, make("span", { textContent: ask.options[k] }))));
      return lock({
        parts: [set],
        choose: () => { const k = radios.findIndex(r => r.checked); return k < 0 ? null : k; },
        refusal: () => "Choose one first.",
        fill: () => { radios[said[0] % radios.length].checked = true; },
      });
    },
    number() {
      const field = control("input", { type: "text", inputMode: "decimal", autocomplete: "off" });
      const value = () => field.value.trim() === "" ? NaN : Number(field.value);
      const inside = v => v >= (ask.low ?? -Infinity) && v <= (ask.high ?? Infinity);
      return lock({
        parts: [make("div", { innerHTML: ask.html }), make("label", {}, make("span",
                { textContent: "Your guess" }), field)],
        choose() {
          const v = value();
          if (!Number.isFinite(v) || !inside(v)) return null;
          if (v === ask.answer || v === ask.shown) return 0;
          return Math.abs(v - ask.answer) <= ask.tolerance ? 1 : 2;
        },
        refusal: () => Number.isFinite(value())
          ? `${value()} is out of range: expected a number ${ask.range}.`
          : `${field.value.trim() || "Nothing"} is not a number.`,
        guess: () => String(Number(value().toPrecision(6))),
        fill: () => { field.value = guess; },
      });
    },
    result() {
      const early = ask.hints, last = early + 1;   // after the hints: solution, not yet; solution
      let hinted = ask.hinted;
      const hint = button("", () => {
        hinted = Math.min(hinted + 1, ask.hints);
        say([...said, hinted - 1]);
      });
      const solution = button("", () =>
        say([...said, ask.early && !said.includes(early) ? early : last]));
      const update = () => {
        hinted = Math.max(hinted, ...said.filter(k => k < early).map(k => k + 1));
        hint.textContent = `Hint ${Math.min(hinted + 1, ask.hints)} of ${ask.hints}`;
        allow(hint, !said.includes(ask.hints - 1), log);
        solution.textContent = said.includes(early) && !said.includes(last)
          ? "Solution now" : "Solution";
        allow(solution, !said.includes(last), log);
      };
      const buttons = make("div", {}, ...(ask.hints ? [hint] : []), solution);
      return { form: make("div", {}, make("div", { innerHTML: ask.html }), buttons), update };
    },
  };
  live(el, model);
  el.classList.add("sgd-ask");
  const { form, update } = kinds[ask.kind]();
  el.append(form, log, after);
  model.on("change:_state", () => {   // from another view of it
    ({ said = [], guess = "" } = model.get("_state"));
    show();
  });
  show();
}

export default { render };
