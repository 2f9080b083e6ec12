// The simulator's DTFrameLogin: opens a frame with a QR code, as DingTalk's script does.
// [obtain-identity-credentials]
// It has the weaknesses of DingTalk's script on purpose, so that sites meet them in their tests:
// values go into the frame's address unencoded, each call adds a listener that stays, listeners do
// not ask which frame a message comes from, and errors arrive without their code.
(() => {
  "use strict";

  const simulator = new URL(document.currentScript.src).origin;
  const DEFAULT_SIZE = 300;
  const PARAMETERS = [
    "redirect_uri", "client_id", "response_type", "scope", "prompt", "state", "org_type", "corpId",
    "exclusiveLogin", "exclusiveCorpId",
  ];

  const frameAddress = (login) => {
    const query = PARAMETERS.filter((name) => login[name]).map((name) => `${name}=${login[name]}`);
    // DingTalk's frame learns the embedding page's origin by itself; the simulator has to be told.
    query.push(`origin=${encodeURIComponent(window.location.origin)}`);
    return `${simulator}/oauth2/qr?${query.join("&")}`;
  };

  // Not decoded, as in DingTalk's script.
  const cutOut = (url, name) => new RegExp(`[?&]${name}=([^&#]*)`).exec(url)?.[1];

  window.DTFrameLogin = (frame, login, success, error) => {
    const fail = (reason) => {
      if (typeof error === "function") {
        error(reason);
      }
    };
    if (!frame?.id || !login) {
      fail("Missing parameters");
      return;
    }
    const container = document.getElementById(frame.id);
    if (container === null) {
      fail("Element not found");
      return;
    }
    const iframe = document.createElement("iframe");
    iframe.src = frameAddress(login);
    iframe.width = frame.width || DEFAULT_SIZE;
    iframe.height = frame.height || DEFAULT_SIZE;
    iframe.title = "DingTalk";
    iframe.setAttribute("frameborder", "0");
    container.replaceChildren(iframe);

    window.addEventListener("message", ({ data, origin }) => {
      if (!origin.includes(simulator)) {
        return;
      }
      if (!data.success || !data.redirectUrl) {
        fail(data.errorMsg);
        return;
      }
      const { redirectUrl } = data;
      const authCode = cutOut(redirectUrl, "authCode");
      const state = cutOut(redirectUrl, "state");
      if (authCode) {
        success({ redirectUrl, authCode, ...(state === undefined ? {} : { state }) });
      } else {
        fail(cutOut(redirectUrl, "error") ?? "");
      }
    });
  };
})();
