// In a page that nbconvert made from a notebook with widget state, with no kernel and no network:
// give each of our widgets its saved state. A live notebook has no such state, and nothing happens.
(() => {
  const view = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const state = 'script[type="application/vnd.jupyter.widget-state+json"]';

  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));

  const modelOf = ({ state, buffers = [] }) => {
    for (const { path, data } of buffers)
      path.slice(0, -1).reduce((part, key) => part[key], state)[path.at(-1)] = bytes(data);
    const calls = {};
    return {
      saved: true,
      get: name => state[name],
      set: (name, value) => {
        state[name] = value;
        (calls[`change:${name}`] ?? []).forEach(f => f());
      },
      on: (event, f) => (calls[event] ??= []).push(f),
      save_changes: () => {},
    };
  };

  const start = async () => {
    if (!document.querySelector(state)) return;
    const models = JSON.parse(document.querySelector(state).textContent).state;
    for (const script of document.querySelectorAll(view)) {
      const saved = models[JSON.parse(script.textContent).model_id];
      if (!saved?.state._anywidget_id?.startsWith("sgd_course.")) continue;
      const el = document.createElement("div");
      script.replaceWith(el);   // so that an html-manager, if there is one, leaves it to us
      const css = document.createElement("style");
      css.textContent = saved.state._css;
      document.head.append(css);
      const url = URL.createObjectURL(new Blob([saved.state._esm], { type: "text/javascript" }));
      (await import(url)).default.render({ model: modelOf(saved), el });
    }
  };

  if (window.sgdWidgets) return;   // each widget brings this script
  window.sgdWidgets = true;
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
