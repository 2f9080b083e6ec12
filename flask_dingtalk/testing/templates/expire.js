"use strict";
{
  // Shows that the code has expired. A script and not a refresh: that would be announced as a page
  // that changes by itself, and could not be stopped.
  const { lifetime, expired } = document.currentScript.dataset;
  setTimeout(() => window.location.replace(expired), Number(lifetime) * 1000);
}
