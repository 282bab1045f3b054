// Words whose contrast with what is behind them is below WCAG 2's AA: 4.5, or 3 for large type.
() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const seen = new Map();
  const colour = (text) => {
    if (!seen.has(text)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = text;
      context.fillRect(0, 0, 1, 1);
      seen.set(text, [...context.getImageData(0, 0, 1, 1).data]);
    }
    return seen.get(text);
  };
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const paint = colour(getComputedStyle(e).backgroundColor);
      if (paint[3] === 255) return paint;
    }
    return [255, 255, 255, 255];
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const words = texts.currentNode.data.trim();
    const element = texts.currentNode.parentElement;
    if (!words || !element.checkVisibility() || element.closest("style, .skip")) continue;
    const style = getComputedStyle(element);
    const ink = luminance(colour(element.closest("svg") ? style.fill : style.color));
    const paper = luminance(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 600);
    if (ratio < (large ? 3 : 4.5)) faint.add(`${words.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...faint];
}
