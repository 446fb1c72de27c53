/** Hashing: its parameters, how many at once, and that an unknown user cannot be told by the time it takes. */
import { expect, test } from "bun:test";
import { decoyHash, Passwords } from "./passwords.ts";

const parametersOf = (hash: string): string => hash.split("$").slice(0, 4).join("$");

test("the decoy costs what a real hash costs", async () => {
  const hash = await new Passwords().hash("password");
  expect(parametersOf(String(hash))).toBe("$argon2id$v=19$m=19456,t=2,p=1");
  expect(parametersOf(decoyHash)).toBe(parametersOf(String(hash)));
  expect(decoyHash.length).toBe(String(hash).length);
});

test("the first fitting hash is told; a salt makes every hash another", async () => {
  const passwords = new Passwords();
  const [one, same, other] = await Promise.all(
    ["one pass", "one pass", "the other"].map((each) => passwords.hash(each)),
  );
  expect(one).not.toBe(same ?? null);
  const match = (password: string, ...hashes: unknown[]) => passwords.match(password, hashes.map(String));
  expect(await match("one pass", other, one, same)).toBe(1);
  expect(await match("neither", one, other)).toBe(-1);
  expect(await match("anything")).toBe(-1);
  expect(await match("", one)).toBe(-1);
});

test("at most two run at once, the rest wait their turn, too many are turned away", async () => {
  const passwords = new Passwords();
  const original = Bun.password.verify;
  let running = 0;
  let most = 0;
  const holds: (() => void)[] = [];
  Bun.password.verify = async () => {
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => holds.push(resolve));
    running--;
    return true;
  };
  try {
    const asked = Array.from({ length: 2 + 1024 + 1 }, () => passwords.match("x", ["hash"]));
    expect(await asked.at(-1)).toMatchObject({ code: "rate-limited" });
    let answered = 0;
    for (const each of asked) void each.then(() => answered++);
    while (answered < asked.length) {
      holds.shift()?.();
      await Promise.resolve();
    }
    expect(most).toBe(2);
    expect((await Promise.all(asked)).filter((each) => each === 0)).toHaveLength(1026);
  } finally {
    Bun.password.verify = original;
  }
});
