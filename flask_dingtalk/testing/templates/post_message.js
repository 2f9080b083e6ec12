"use strict";
{
  // The browser delivers the message only if the page around the frame has the target origin.
  const { message, target, times } = document.currentScript.dataset;
  for (let count = 0; count < Number(times); count += 1) {
    window.parent.postMessage(JSON.parse(message), target);
  }
}
