// node run.mjs FILE FUNCTION < input.json: calls one function of a script, prints its answer as JSON on the last line.
import { text } from "node:stream/consumers";

const [file, name] = process.argv.slice(2);
const given = JSON.parse(await text(process.stdin));
const cases = await import(`./${file}`);
const answer = await cases[name](given);
process.stdout.write(`\n${JSON.stringify(answer ?? null)}\n`);
