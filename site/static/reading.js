// What scrolls sideways can be scrolled by keyboard, and only that is a stop of the Tab key.
(() => {
  const wide = () => {
    for (const e of document.querySelectorAll("pre, .cell_output, .table-wrapper, .sgd-table, "
                                              + ".sgd-formula"))
      if (e.scrollWidth > e.clientWidth + 1) e.tabIndex = 0;
      else e.removeAttribute("tabindex");
  };
  wide();
  addEventListener("resize", wide);
  addEventListener("load", wide);
  document.addEventListener("toggle", wide, true);   // what is unfolded
})();
