/** Reading addresses, and the order in which they are tried. */
import { describe, expect, test } from "bun:test";
import { AddressBook, parseAddress } from "./addresses.ts";

test.each([
  ["127.0.0.1:1538", "127.0.0.1", 1538],
  ["chat.example.org:1", "chat.example.org", 1],
  ["[::1]:65535", "::1", 65535],
  ["[fe80::1%eth0]:1538", "fe80::1%eth0", 1538],
])("%s is an address", (text, host, port) => {
  expect(parseAddress(text)).toEqual({ host, port });
});

const wrong = [
  "",
  "localhost",
  ":1538",
  "host:",
  "host:0",
  "host:65536",
  "host:15x",
  "::1:1538",
  "a b:1",
  "1=a:1",
  "[x]:1",
];
test.each(wrong)("%p is none", (text) => {
  expect(parseAddress(text)).toBeNull();
});

describe("the order of trying", () => {
  test("begins where it is told to and goes around", () => {
    expect(new AddressBook(["a:1", "b:2", "c:3"]).order()).toEqual(["a:1", "b:2", "c:3"]);
    expect(new AddressBook(["a:1", "b:2", "c:3"], 5).order()).toEqual(["c:3", "a:1", "b:2"]);
    expect(new AddressBook([]).order()).toEqual([]);
  });

  test("the one that failed comes last", () => {
    const book = new AddressBook(["a:1", "b:2", "c:3"]);
    book.startAfter("b:2");
    expect(book.order()).toEqual(["c:3", "a:1", "b:2"]);
    book.startAfter("x:9");
    expect(book.order()).toEqual(["c:3", "a:1", "b:2"]);
  });

  test("what is learnt comes after what was given, and is replaced by what is learnt later", () => {
    const book = new AddressBook(["a:1"]);
    book.learn(["b:2", "a:1", "nonsense"]);
    expect(book.order()).toEqual(["a:1", "b:2"]);
    book.startAfter("a:1");
    book.learn(["c:3"]);
    expect(book.order()).toEqual(["a:1", "c:3"]);
  });
});
