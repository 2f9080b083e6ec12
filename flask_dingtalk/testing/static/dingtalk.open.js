// The simulator's dd: of DingTalk's JSAPI what a sign-in needs. [jsapi-request-auth-code]
// The client's native bridge is replaced by a request to the simulator.
(() => {
  "use strict";

  const simulator = new URL(document.currentScript.src).origin;

  const ask = async ({ corpId = "", clientId = "" }) => {
    const response = await fetch(`${simulator}/in-client/code`, {
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

  // DingTalk's library calls one of the two names, and complete not at all. What the page's own
  // function throws does not break the promise.
  const call = (preferred, other, argument) => {
    const listener = [preferred, other].find((value) => typeof value === "function");
    queueMicrotask(() => listener?.(argument));
  };

  const requestAuthCode = async (options = {}) => {
    if (!/DingTalk/i.test(window.navigator.userAgent)) {
      // Like DingTalk's library, which finds no bridge to ask: onFail is not called then.
      throw new Error(
        "[DINGTALK-JSAPI] ERROR 4040: Do not support the current environment：'notInDingTalk'",
      );
    }
    let result;
    try {
      result = await ask(options);
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
