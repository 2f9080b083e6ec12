// Defines dd as a script of a page, as the script on DingTalk's CDN does. No "use strict" here: the
// bundler would put it before all modules, and some of them are written for sloppy mode.
window.dd = require("dingtalk-jsapi");
