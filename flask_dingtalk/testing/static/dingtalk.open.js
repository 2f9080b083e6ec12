// The simulator's dd: the part of DingTalk's JSAPI that a login needs. [jsapi-request-auth-code]
// A request to the simulator replaces the native bridge of the client.
(() => {
  "use strict";

  const simulator = new URL(document.currentScript.src).origin;

  const requestCode = async ({ corpId = "", clientId = "" }) => {
    const response = await fetch(`${simulator}/in-app/code`, {
      method: "POST",
      body: new URLSearchParams({ corpId, clientId }),
      credentials: "omit",
    });
    const answer = await response.json();
    if (answer.code === undefined) {
      throw answer;
    }
    return answer;
  };

  // Like DingTalk's library: one of the two callbacks is called, complete never. An exception in
  // the page's callback does not affect the promise.
  const call = (preferred, other, argument) => {
    const callback = [preferred, other].find((value) => typeof value === "function");
    queueMicrotask(() => callback?.(argument));
  };

  const requestAuthCode = async (options = {}) => {
    if (!/DingTalk/i.test(window.navigator.userAgent)) {
      // Like DingTalk's library outside the client: the promise fails, onFail is not called.
      throw new Error(
        "[DINGTALK-JSAPI] ERROR 4040: Do not support the current environment：'notInDingTalk'",
      );
    }
    let result;
    try {
      result = await requestCode(options);
    } catch (reason) {
      const failure = reason instanceof Error ? { errorMessage: reason.message } : reason;
      call(options.fail, options.onFail, failure);
      throw failure;
    }
    call(options.success, options.onSuccess, result);
    return result;
  };

  window.dd = { ...window.dd, requestAuthCode };
})();
