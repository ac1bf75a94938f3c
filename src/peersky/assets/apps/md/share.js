// The address of what was published, for people: copied with a click, and as a QR code for a camera.

import encodeQR from "./vendor/qr.esm.js";

const SVG = "http://www.w3.org/2000/svg";

export function qrCode(text) {
  const rows = encodeQR(text, "raw", { border: 1 });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${rows.length} ${rows.length}`);
  svg.setAttribute("shape-rendering", "crispEdges");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the address");
  const path = document.createElementNS(SVG, "path");
  const squares = rows.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])));
  path.setAttribute("d", squares.join(""));
  svg.append(path);
  return svg;
}

// Copies on a click of `button`, which says what came of it. A selection that is copied on a click is always allowed; the
// clipboard API would ask the user first.
export function copyText(text, button) {
  const label = button.textContent;
  const field = document.createElement("textarea");
  field.className = "visually-hidden";
  field.value = text;
  button.after(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  button.focus();
  button.textContent = isDone ? "Copied" : "Copying is not allowed";
  setTimeout(() => {
    button.textContent = label;
  }, 2000);
}
