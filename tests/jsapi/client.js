// A DingTalk client around the page: the native bridge of each platform, as DingTalk's own library
// (dingtalk-jsapi) calls it. It is put before the library in the same script, whose address says:
//   client   android, ios, harmony or pc; anything else has no bridge
//   ask      where to ask for a code: the simulator
//   answer   JSON to answer instead of asking; "refuse" with Android: the bridge fails to start
//   late     the bridge is not there before the test calls bridgeArrives()
(() => {
  "use strict";

  const order = new URL(document.currentScript.src).searchParams;

  // What reached the native side, for the tests.
  window.nativeCalls = [];

  const answerTo = async (method, parameters) => {
    // Functions do not cross a bridge.
    const sent = JSON.parse(JSON.stringify(parameters));
    window.nativeCalls.push({ method, parameters: sent });
    if (order.has("answer")) {
      return JSON.parse(order.get("answer"));
    }
    const { corpId = "", clientId = "" } = sent;
    const body = new URLSearchParams({ corpId, clientId });
    const response = await fetch(order.get("ask"), { method: "POST", body, credentials: "omit" });
    return response.json();
  };

  const good = (answer) => answer.code !== undefined;
  const announce = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

  const bridges = {
    android() {
      if (order.get("answer") === '"refuse"') {
        announce("runtimefailed", { errorCode: "2", errorMessage: "no runtime" });
        return;
      }
      const exec = async (success, fail, service, action, parameters) => {
        const answer = await answerTo(`${service}.${action}`, parameters);
        (good(answer) ? success : fail)(answer);
      };
      window.nuva = { isReady: true, require: () => exec };
      announce("runtimeready");
    },

    ios() {
      window.WebViewJavascriptBridge = {
        init() {},
        async callHandler(method, parameters, respond) {
          const answer = await answerTo(method, parameters);
          respond(good(answer) ? { errorCode: "0", result: answer } : answer);
        },
      };
      announce("WebViewJavascriptBridgeReady");
    },

    harmony() {
      window.DingTalkJSBridge = {
        init() {},
        async call(method, parameters, respond) {
          const answer = await answerTo(method, parameters);
          respond({ success: good(answer), body: answer });
        },
      };
      announce("DingTalkJSBridgeReady");
    },

    // The library posts messages to the window that holds the page; its name says whose it is.
    pc() {
      const hostOrigin = "https://im.dingtalk.com";
      window.name = JSON.stringify({ containerId: "1", hostOrigin, hostVersion: "7.6.50" });
      window.dingtalk = { platform: { invokeAPI() {} } };
      const post = window.postMessage.bind(window);
      window.postMessage = async (message, ...rest) => {
        if (rest[0] !== hostOrigin) {
          post(message, ...rest);
          return;
        }
        const body = await answerTo(message.methodName, message.body);
        const data = { type: "response", msgId: message.msgId, success: good(body), body };
        window.dispatchEvent(new MessageEvent("message", { data, origin: hostOrigin }));
      };
    },
  };

  const arrive = bridges[order.get("client")] ?? (() => {});
  if (order.has("late")) {
    window.bridgeArrives = arrive;
  } else {
    arrive();
  }
})();
