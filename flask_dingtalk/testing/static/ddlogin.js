// The simulator's DTFrameLogin: a frame with a QR code, as DingTalk's script of this name opens it.
// [obtain-identity-credentials]
(() => {
  "use strict";

  const simulator = new URL(document.currentScript.src).origin;
  const SMALLEST = 280;
  const USUAL = 300;
  const PARAMETERS = [
    "client_id", "response_type", "scope", "prompt", "state", "org_type", "corpId",
    "exclusiveLogin", "exclusiveCorpId",
  ];
  const listeners = new WeakMap();

  const size = (wanted) => Math.max(SMALLEST, Number(wanted) || USUAL);

  const address = (login) => {
    const query = [`origin=${encodeURIComponent(window.location.origin)}`];
    for (const name of PARAMETERS) {
      const value = login[name];
      if (value !== undefined && value !== null) {
        // "openid+corpid" and "openid corpid" are both in use for the scope, so its plus stays.
        const encode = name === "scope" ? encodeURI : encodeURIComponent;
        query.push(`${name}=${encode(value)}`);
      }
    }
    // Encoded by the caller, once: what is not breaks here, what is twice is registered nowhere.
    if (login.redirect_uri) {
      query.push(`redirect_uri=${login.redirect_uri}`);
    }
    return `${simulator}/oauth2/qr?${query.join("&")}`;
  };

  window.DTFrameLogin = (frame, login, success, error) => {
    const fail = (reason) => {
      if (typeof error === "function") {
        error(reason);
      }
    };
    const container = document.getElementById(frame.id);
    if (container === null) {
      fail(`There is no element with the id "${frame.id}".`);
      return;
    }
    const iframe = document.createElement("iframe");
    iframe.src = address(login);
    iframe.width = size(frame.width);
    iframe.height = size(frame.height);
    iframe.title = "DingTalk";
    iframe.setAttribute("frameborder", "0");

    const listen = (event) => {
      if (event.origin !== simulator || event.source !== iframe.contentWindow) {
        return;
      }
      const { success: good, errorCode, errorMsg, ...result } = event.data;
      if (good) {
        success(result);
      } else {
        fail(errorCode === undefined ? errorMsg : { errorCode, errorMsg });
      }
    };
    // Called again for the same element, it replaces the frame: the one before has nothing to say.
    window.removeEventListener("message", listeners.get(container));
    listeners.set(container, listen);
    window.addEventListener("message", listen);
    container.replaceChildren(iframe);
  };
})();
