// Chromium without a display and without a network, and a page that reports everything it should not do.
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
  "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });

/** Opens a file; `faults` fills with console errors, exceptions and requests that leave the file. */
export async function open(browser, url, { width = 1440, height = 900, scheme = "light", javaScript = true } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: scheme, javaScriptEnabled: javaScript, offline: true,
  });
  context.setDefaultTimeout(300_000);
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    const address = request.url();
    if (!/^(data|blob):/.test(address) && address.split("#")[0] !== url.split("#")[0]) faults.push(`request: ${address.slice(0, 200)}`);
  });
  await page.goto(url);
  return { page, faults, close: () => context.close() };
}

// Long, for machines that draw 3-D without a GPU and have other things to do.
export const ready = (page, what) =>
  page.waitForFunction((name) => document.documentElement.dataset[name] === "ready", what, { timeout: 300_000 });
