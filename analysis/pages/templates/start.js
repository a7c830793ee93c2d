"use strict";
fromAddress(); buildAxes(); showRule(); bindRule(); bindMap(); bindTable(); bindSave(); bindBox();
window.addEventListener("resize", refresh);
window.addEventListener("hashchange", () => { fromAddress(); buildAxes(); showRule(); refresh(); });
refresh();
