// The pictures of README and docs, from the results of a run. Run by `cargo xtask screenshots`, which sets CHROMIUM,
// DICEWISE and RESULTS; the argument is the folder to write to.
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { launch, open, ready } from "./chromium.mjs";

const { DICEWISE, RESULTS } = process.env;
const [, , folder] = process.argv;
const report = pathToFileURL(`${RESULTS}/report/index.html`).href;
const explorer = join(mkdtempSync(join(tmpdir(), "dicewise-")), "explorer.html");
execFileSync(DICEWISE, ["explain", "nnunet-batch-dice", "--batch-size", "2", "--html", explorer]);
const browser = await launch();

async function shoot(url, name, { wait, clip, height = 900, width = 1240, scheme }, prepare = async () => {}) {
  const { page, close } = await open(browser, url, { width, height, scheme });
  await ready(page, wait);
  await prepare(page);
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(folder, name), clip });
  console.log(name);
  await close();
}

await shoot(report, "report.png", { wait: "explorer", height: 1240 });
await shoot(report, "report-training.png", { wait: "explorer", height: 620 }, async (page) => {
  await page.locator("#figure-training_gradient").scrollIntoViewIfNeeded();
  await page.evaluate(() => document.querySelector("#figure-training_gradient").scrollIntoView());
});
await shoot(pathToFileURL(`${RESULTS}/report/viewer.html`).href, "viewer.png", { wait: "viewer", height: 860 }, async (page) => {
  await page.waitForTimeout(1500);
});
await shoot(pathToFileURL(explorer).href, "explorer.png", { wait: "explorer", height: 1020 });
await shoot(pathToFileURL(explorer).href, "explorer-dark.png", { wait: "explorer", height: 1020, scheme: "dark" });
await browser.close();
