// What the scripts of all our widgets begin with: Python puts it before them.

const make = (tag, props = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children);
  return e;
};

// Only what differs is written: the page lies out anew what it is told, even if it is the same
const write = (e, text) => { if (e.textContent !== text) e.textContent = text; };

// Does `work` at first at once, then after the next picture: that need not wait until words are
// laid out
const afterPicture = work => {
  let begun = false, waiting = false;
  return () => {
    if (!begun) work();
    else if (!waiting) requestAnimationFrame(() => setTimeout(() => { waiting = false; work(); }));
    waiting = begun;
    begun = true;
  };
};

// JupyterLab takes arrows, Home and Enter for itself unless the very element says this
const control = (tag, props) => {
  const e = make(tag, props);
  e.dataset.lmSuppressShortcuts = "true";
  return e;
};

// Who uses the keyboard goes on from `next` where the control that she has pressed takes no more
const allow = (control, takes, next) => {
  const left = !takes && control.matches(":focus");
  control.disabled = !takes;
  if (left) next.focus({ preventScroll: true });
};

// While a widget is on the page, its twin, the still figure in the output before it, is not
const live = (el, model) => {
  const twin = `.${model.get("_twin")}`, output = ":is(.jp-OutputArea-child, .output_area)";
  el.classList.add("sgd-live");
  el.append(make("style", {
    textContent: `${twin} { display: none } ${output}:has(${twin}) { display: none }` }));
};

// Is there a Python to talk to? Not in a saved page, nor for a model saved with a notebook
const isAlive = async model => {
  if (model.saved) return false;
  try { return (await model.widget_manager.get_model(model.get("_twin"))).comm_live !== false; }
  catch { return true; }
};

// Sends traits to Python, at most ten times a second, and always the last. The model is set only
// when it is sent: ipywidgets' echo of an earlier value would overwrite it.
const courier = (model, traits, valueOf) => {
  let timer = 0, unsent = false, sending = false;
  const send = () => {
    unsent = true;
    if (timer) return;
    sending = true;
    for (const t of traits) model.set(t, valueOf(t));
    sending = unsent = false;
    try { model.save_changes(); } catch (e) { console.warn("sgd_course: no kernel", e); }
    timer = setTimeout(() => { timer = 0; if (unsent) send(); }, 100);
  };
  return { send, busy: () => sending || unsent, stop: () => clearTimeout(timer) };
};
