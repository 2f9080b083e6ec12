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

  const call = (listener, argument) => {
    if (typeof listener === "function") {
      listener(argument);
    }
  };

  const requestAuthCode = async (options = {}) => {
    if (!/DingTalk/i.test(window.navigator.userAgent)) {
      // Like DingTalk's library, which finds no bridge to ask: onFail is not called then.
      throw new Error("DINGTALK-JSAPI ERROR 4040: notInDingTalk");
    }
    let result;
    try {
      result = await ask(options);
    } catch (reason) {
      const failure = reason instanceof Error ? { errorMessage: reason.message } : reason;
      call(options.onFail, failure);
      call(options.fail, failure);
      call(options.complete, failure);
      throw failure;
    }
    call(options.onSuccess, result);
    call(options.success, result);
    call(options.complete, result);
    return result;
  };

  window.dd = { ...window.dd, requestAuthCode };
})();
