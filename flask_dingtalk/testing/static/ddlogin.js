// The simulator's DTFrameLogin: opens a frame with a QR code, as DingTalk's script does.
// [obtain-identity-credentials]
(() => {
  "use strict";

  const simulator = new URL(document.currentScript.src).origin;
  const MINIMUM_SIZE = 280;
  const DEFAULT_SIZE = 300;
  const PARAMETERS = [
    "client_id", "response_type", "scope", "prompt", "state", "org_type", "corpId",
    "exclusiveLogin", "exclusiveCorpId",
  ];
  const listeners = new WeakMap();

  const size = (requested) => Math.max(MINIMUM_SIZE, Number(requested) || DEFAULT_SIZE);

  const address = (login) => {
    const query = [`origin=${encodeURIComponent(window.location.origin)}`];
    for (const name of PARAMETERS) {
      const value = login[name];
      if (value !== undefined && value !== null) {
        // Sites write the scope as "openid+corpid" or as "openid corpid", so its plus stays a plus.
        const encode = name === "scope" ? encodeURI : encodeURIComponent;
        query.push(`${name}=${encode(value)}`);
      }
    }
    // The site passes redirect_uri encoded once. Unencoded it is refused; encoded twice it is not
    // registered.
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
    // A second call for the same element replaces the frame, so the first listener goes.
    window.removeEventListener("message", listeners.get(container));
    listeners.set(container, listen);
    window.addEventListener("message", listen);
    container.replaceChildren(iframe);
  };
})();
