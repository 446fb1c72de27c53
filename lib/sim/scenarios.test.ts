/**
 * Plays the scenarios of `fixtures/scenarios` and compares what happens with what they say. When behaviour changes on
 * purpose: `UPDATE_GOLDEN=1 bun test lib/sim/scenarios.test.ts` writes them anew; read the difference.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mistakes, makeMistake, type Mistake } from "../base/mistakes.ts";
import { clusterUsage, commands, play, readStory } from "./scenario-commands.ts";

// Some stories last minutes of their own time, and often others run beside them.
setDefaultTimeout(60_000);

const folder = new URL("../../fixtures/scenarios/", import.meta.url);
const rewrite = process.env["UPDATE_GOLDEN"] === "1";
const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));
const isMistake = (name: string): name is Mistake => Object.hasOwn(mistakes, name);

describe("scenarios", () => {
  for (const file of files) {
    const url = new URL(file, folder);
    const text = readFileSync(url, "utf8");
    test(file, () => {
      const played = play(text);
      if (rewrite) {
        writeFileSync(url, played.text);
        return;
      }
      for (const { source, expected, actual } of played.groups)
        expect(`${source}\n${actual}`).toBe(`${source}\n${expected}`);
      expect(played.text).toBe(text);
    });

    for (const mistake of readStory(text).catches) {
      test(`${file} is another story with the mistake "${mistake}"`, () => {
        if (!isMistake(mistake)) throw new Error(`there is no mistake of that name in lib/base/mistakes.ts`);
        expect(comesTo(text, mistake) === comesTo(text, null)).toBe(false);
      });
    }
  }
});

describe("wherever in a view change its candidate dies, nothing is lost", () => {
  for (const policy of ["available", "quorum"]) {
    for (const around of ["promise", "view", "act"]) {
      test(`${policy}, around the ${around}`, () => {
        for (let effects = 0; effects < 12; effects++) {
          const { text } = play(`cluster ${policy} 1 2 3
found
propose 3 a b
doom 2 ${around} ${effects}
crash 1
propose 3 c d
tick 2500
start 1 2
propose 1 c d
until acknowledged a b c d
end`);
          expect(text).toContain("1 2 3: a b");
        }
      });
    }
  }
});

/** The script as it goes with a mistake (or none), or what the judge or an assertion says against it. */
function comesTo(text: string, mistake: Mistake | null): string {
  makeMistake(mistake);
  try {
    return play(text).text;
  } catch (error) {
    return String(error);
  } finally {
    makeMistake(null);
  }
}

test("the page about scenarios names every command and every file", () => {
  const page = readFileSync(new URL("README.md", folder), "utf8");
  const missing = [
    ...[clusterUsage, ...Object.values(commands).map(({ usage }) => usage)].filter(
      (usage) => !page.includes(usage.replaceAll("|", "\\|")) && !page.includes(usage),
    ),
    ...files.filter((file) => !page.includes(file)),
  ];
  expect(missing).toEqual([]);
});
