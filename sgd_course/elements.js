// What the scripts of all our widgets begin with: Python puts it before them.

const make = (tag, props = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children);
  return e;
};

// JupyterLab takes arrows, Home and Enter for itself unless the very element says this
const control = (tag, props) => {
  const e = make(tag, props);
  e.dataset.lmSuppressShortcuts = "true";
  return e;
};

