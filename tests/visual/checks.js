// Looks at a page as a careful person would. `look()` returns a list of problems, each as a text.
(() => {
  "use strict";

  const SMALLEST_TARGET = 24;
  const LOWEST_CONTRAST = 4.5;
  const HAN = /[\u3400-\u9fff]/;
  // Two words or more: one alone may be a name or a term in any language.
  const LATIN_WORDS = /[A-Za-z]{2,}[\s,;:]+[A-Za-z]{2,}/;
  const LITERAL = "code, pre, kbd, samp, time";
  const INTERACTIVE = "a[href], button, input:not([type=hidden]), select, textarea, summary, iframe";

  const short = (text) => text.trim().replace(/\s+/g, " ").slice(0, 60);
  const name = (element) =>
    `<${element.localName}${element.className?.baseVal ?? element.className ? ` .${element.className?.baseVal ?? element.className}` : ""}>`;

  const isShown = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true });

  // A text is drawn in its parent, and a closed <details> has none.
  const texts = () => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (node.data.trim() && !parent.closest("script, style, noscript, .unseen") && isShown(parent)) {
        const range = document.createRange();
        range.selectNodeContents(node);
        const boxes = [...range.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
        if (boxes.length > 0) {
          found.push({ node, parent, boxes });
        }
      }
    }
    return found;
  };

  const scrolls = (element) => {
    for (let each = element; each && each !== document.documentElement; each = each.parentElement) {
      if (/auto|scroll/.test(getComputedStyle(each).overflowX) && each !== document.body) {
        return true;
      }
    }
    return false;
  };
  // Cut on purpose, with dots.
  const isCut = (element) =>
    [element, element.parentElement, element.parentElement?.parentElement].some(
      (each) => each && getComputedStyle(each).textOverflow === "ellipsis",
    );

  const checkWidth = (problems, all) => {
    const width = document.documentElement.clientWidth;
    const page = document.documentElement.scrollWidth;
    if (page > width) {
      problems.push(`the page is ${page} px wide in a window of ${width}`);
    }
    for (const { node, parent, boxes } of all) {
      const out = boxes.some((box) => box.right > width + 1 || box.left < -1);
      if (out && !scrolls(parent) && !parent.closest(".skip") && !isCut(parent)) {
        problems.push(`"${short(node.data)}" is partly outside of the window`);
      }
      for (let each = parent; each && each !== document.body; each = each.parentElement) {
        const { overflowX, overflowY } = getComputedStyle(each);
        const edge = each.getBoundingClientRect();
        const clips = overflowX === "hidden" || overflowX === "clip" || overflowY === "hidden";
        if (clips && !isCut(parent)) {
          if (boxes.some((box) => box.right > edge.right + 1 || box.bottom > edge.bottom + 2)) {
            problems.push(`"${short(node.data)}" is cut off by ${name(each)}`);
          }
        }
      }
    }
  };

  const overlap = (one, other) =>
    Math.min(Math.min(one.right, other.right) - Math.max(one.left, other.left),
      Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top));

  const checkOverlaps = (problems, all) => {
    const boxes = [];
    for (const { node, parent, boxes: lines } of all) {
      if (!isCut(parent) && !scrolls(parent) && !parent.closest(".skip")) {
        // Lines of one text are higher than their letters.
        for (const box of lines) {
          const trim = box.height * 0.2;
          boxes.push({ element: parent, text: node, what: `"${short(node.data)}"`, box: {
            left: box.left, right: box.right, top: box.top + trim, bottom: box.bottom - trim } });
        }
      }
    }
    for (const element of document.querySelectorAll("button, input, select, img, iframe, .button, .dingtalk-button")) {
      const box = element.getBoundingClientRect();
      if (isShown(element) && box.width > 0 && !scrolls(element)) {
        boxes.push({ element, text: null, what: name(element), box });
      }
    }
    for (let i = 0; i < boxes.length; i += 1) {
      for (let j = i + 1; j < boxes.length; j += 1) {
        const [one, other] = [boxes[i], boxes[j]];
        const related = (one.text && one.text === other.text) ||
          one.element.contains(other.element) || other.element.contains(one.element);
        if (!related && overlap(one.box, other.box) > 2) {
          problems.push(`${one.what} and ${other.what} overlap`);
        }
      }
    }
  };

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  // Whatever CSS calls a colour, as red, green, blue and alpha.
  const parse = (color) => {
    if (!known.has(color)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(color, [red, green, blue, alpha / 255]);
    }
    return known.get(color);
  };
  const over = (top, ground) => [0, 1, 2].map((n) => top[n] * top[3] + ground[n] * (1 - top[3]));
  const luminance = (color) => {
    const [red, green, blue] = color.slice(0, 3).map((each) => {
      const value = each / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const canvasColor = () =>
    parse(getComputedStyle(document.documentElement).colorScheme.includes("dark") &&
      matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(18, 18, 18)" : "rgb(255, 255, 255)");
  // The colours that may be behind an element: a gradient has several.
  const grounds = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      const { backgroundColor, backgroundImage } = getComputedStyle(each);
      const color = parse(backgroundColor);
      const stops = (backgroundImage.match(/(?:rgba?|color|oklab|lab)\([^)]*\)/g) ?? []).map(parse);
      layers.push({ color, stops });
      if (color[3] === 1) {
        break;
      }
    }
    let below = [canvasColor()];
    for (const { color, stops } of layers.reverse()) {
      below = below.map((ground) => over(color, ground));
      const painted = stops.flatMap((stop) => below.map((ground) => over(stop, ground)));
      const covers = stops.length > 0 && stops.every((stop) => stop[3] === 1);
      below = covers ? painted : [...below, ...painted];
    }
    return below;
  };

  const checkContrast = (problems, all) => {
    const seen = new Set();
    for (const { node, parent } of all) {
      if (seen.has(parent) || parent.closest(":disabled, [aria-hidden=true]")) {
        continue;
      }
      seen.add(parent);
      const color = parse(getComputedStyle(parent).color);
      const worst = Math.min(...grounds(parent).map((each) => contrast(over(color, each), each)));
      if (worst < LOWEST_CONTRAST) {
        problems.push(`"${short(node.data)}" has a contrast of ${worst.toFixed(2)}`);
      }
    }
  };

  const checkTargets = (problems) => {
    for (const element of document.querySelectorAll(INTERACTIVE)) {
      const style = getComputedStyle(element);
      const inSentence = style.display === "inline" &&
        short(element.parentElement.textContent) !== short(element.textContent);
      const target = element.matches("input") ? element.closest("label") ?? element : element;
      const { width, height } = target.getBoundingClientRect();
      const small = Math.min(width, height) < SMALLEST_TARGET;
      if (isShown(element) && width > 0 && small && !inSentence && !element.matches(".skip")) {
        problems.push(`${name(element)} "${short(element.textContent)}" is ${Math.round(width)} × ${Math.round(height)} px`);
      }
    }
  };

  const languageOf = (element) => element.closest("[lang]")?.lang ?? "";
  const checkLanguage = (problems, all) => {
    const wrong = (text, language) =>
      HAN.test(text) ? !language.startsWith("zh") : LATIN_WORDS.test(text) && !language.startsWith("en");
    for (const { node, parent } of all) {
      if (!parent.closest(LITERAL) && wrong(node.data, languageOf(parent))) {
        problems.push(`"${short(node.data)}" is said to be in "${languageOf(parent)}"`);
      }
    }
    for (const attribute of ["alt", "aria-label", "placeholder", "title"]) {
      for (const element of document.querySelectorAll(`[${attribute}]`)) {
        if (isShown(element) && wrong(element.getAttribute(attribute), languageOf(element))) {
          problems.push(`${attribute}="${element.getAttribute(attribute)}" is said to be in "${languageOf(element)}"`);
        }
      }
    }
  };

  const checkFocus = (problems) => {
    const start = document.activeElement;
    for (const element of document.querySelectorAll(`${INTERACTIVE}, [tabindex="0"]`)) {
      if (!isShown(element) || element.disabled || element.localName === "iframe") {
        continue;
      }
      element.focus({ preventScroll: true });
      if (document.activeElement !== element) {
        problems.push(`${name(element)} "${short(element.textContent)}" takes no focus`);
        continue;
      }
      const marked = [
        getComputedStyle(element), getComputedStyle(element, "::after"),
        ...(element.closest("label") ? [getComputedStyle(element.closest("label"))] : []),
      ].some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0);
      if (!marked) {
        problems.push(`${name(element)} "${short(element.textContent)}" does not show its focus`);
      }
    }
    document.activeElement.blur?.();
    start?.focus?.();
  };

  const checkStructure = (problems) => {
    const headings = [...document.querySelectorAll("h1")].filter(isShown);
    if (headings.length !== 1) {
      problems.push(`the page has ${headings.length} main headings`);
    }
    if (document.querySelectorAll("main").length !== 1) {
      problems.push("the page has no main landmark, or several");
    }
    if (!document.title.trim() || !document.documentElement.lang) {
      problems.push("the page has no title or no language");
    }
  };

  // For people who asked for less motion, nothing may go on moving.
  const checkMotion = (problems) => {
    for (const animation of document.getAnimations()) {
      const { iterations } = animation.effect.getTiming();
      if (iterations === Infinity || animation instanceof CSSTransition) {
        problems.push(`${name(animation.effect.target)} moves`);
      }
    }
  };

  window.lookAt = (aspects) => {
    const problems = [];
    const all = texts();
    const checks = { width: checkWidth, overlaps: checkOverlaps, contrast: checkContrast,
      targets: checkTargets, language: checkLanguage, focus: checkFocus, structure: checkStructure,
      motion: checkMotion };
    for (const aspect of aspects) {
      checks[aspect](problems, all);
    }
    return [...new Set(problems)];
  };
})();
