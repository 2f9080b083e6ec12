// Inside the DingTalk client: asks it for a code and posts the code, so that nobody has to tap.
// [jsapi-request-auth-code]
// The client's built-in browser can be years old, so no newer syntax is used here.
(() => {
  "use strict";

  const form = document.querySelector("[data-dingtalk-in-app]");
  const { request, codeField, patience, landing, otherwise, reasonParameter } = JSON.parse(
    form.dataset.dingtalkInApp,
  );
  let over = false;

  const textOf = (reason) => {
    if (typeof reason === "string") {
      return reason;
    }
    // Only these go into the site's log, whatever else an answer contains.
    const { errorCode, errorMessage, message } = reason || {};
    const said = [errorCode, errorMessage || message].filter((part) => part || part === 0);
    return said.join(" ") || "it did not say why";
  };

  // Only once, and not after a code was posted: the client may still answer after the time-out.
  const goOn = (reason) => {
    if (!over) {
      over = true;
      const url = new URL(otherwise, window.location);
      // For the site's log, since a phone has no console to look at.
      url.searchParams.set(reasonParameter, textOf(reason).slice(0, 200));
      window.location.replace(url);
    }
  };
  // Otherwise "back" would lead to this page, which would sign in again and lead forward.
  const leaveNoTrace = () => {
    try {
      window.history.replaceState(null, "", landing);
    } catch (error) {
      // The sign-in ends on another origin, which replaceState refuses.
    }
  };
  const post = (result) => {
    if (!result || !result.code) {
      goOn("its answer holds no code");
    } else if (!over) {
      over = true;
      form.elements[codeField].value = result.code;
      leaveNoTrace();
      form.submit();
    }
  };

  const ask = () => {
    setTimeout(() => goOn("it did not answer in time"), patience * 1000);
    try {
      // A refusal calls onFail and rejects the promise; without a client, only the promise rejects.
      Promise.resolve(
        window.dd.requestAuthCode(Object.assign({ onSuccess: post, onFail: goOn }, request)),
      ).catch(goOn);
    } catch (error) {
      goOn(error);
    }
  };

  // The script tag comes after this script, so its events cannot be missed.
  const settle = ({ type, target }) => {
    if (target instanceof HTMLScriptElement && "dingtalkJsapi" in target.dataset) {
      if (type === "load") {
        ask();
      } else {
        goOn(`${target.src} cannot be loaded`);
      }
    }
  };
  document.addEventListener("load", settle, true);
  document.addEventListener("error", settle, true);
  // The script has this long to load, and the client then as long to answer.
  setTimeout(() => window.dd || goOn("its script did not come in time"), patience * 1000);
  window.addEventListener("pageshow", ({ persisted }) => {
    // The browser restored this page after "back"; its state and code are used up.
    if (persisted) {
      window.location.reload();
    }
  });
})();
