// The page begins: with what its address says, or as it was fitted.
"use strict";
fromAddress(); buildAxes(); showRule(); bindRule(); bindMap(); bindTable(); bindSave(); bindBox();
window.addEventListener("resize", refresh);
window.addEventListener("hashchange", () => { fromAddress(); buildAxes(); showRule(); refresh(); });
refresh();
