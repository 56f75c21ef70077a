// Applies the remembered theme before anything is painted.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* storage is not allowed: follow the system */ }
