// Inside the DingTalk client: asks it for a code and posts that, so that nobody has to tap.
// [jsapi-request-auth-code]
// The client's own browser can be years old, hence the plain language.
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
    // These alone: what else an answer holds, a log need not know.
    const { errorCode, errorMessage, message } = reason || {};
    const said = [errorCode, errorMessage || message].filter((part) => part || part === 0);
    return said.join(" ") || "it did not say why";
  };

  // One of the two, once: the client may still answer after it was given up.
  const goOn = (reason) => {
    if (!over) {
      over = true;
      const url = new URL(otherwise, window.location);
      // For the site's log: nobody reads the console of a phone.
      url.searchParams.set(reasonParameter, textOf(reason).slice(0, 200));
      window.location.replace(url);
    }
  };
  // The way back would lead to this page, which would sign in again and send the visitor forward.
  const leaveNoTrace = () => {
    try {
      window.history.replaceState(null, "", landing);
    } catch (error) {
      // The sign-in ends on another site, which this history cannot name.
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
      // A refusal arrives in both ways, and a missing client as a broken promise alone.
      Promise.resolve(
        window.dd.requestAuthCode(Object.assign({ onSuccess: post, onFail: goOn }, request)),
      ).catch(goOn);
    } catch (error) {
      goOn(error);
    }
  };

  // The tag follows this script: its events cannot be missed.
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
  // The script gets that long to come, and then the client to answer.
  setTimeout(() => window.dd || goOn("its script did not come in time"), patience * 1000);
  window.addEventListener("pageshow", ({ persisted }) => {
    // Kept by the browser for the way back; the code it held was used.
    if (persisted) {
      window.location.reload();
    }
  });
})();
