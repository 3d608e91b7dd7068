// Checks app.json against Heroku's own schema: node app_json.mjs FILE. Prints a line for each fault.
import { readFileSync } from "node:fs";
import Ajv from "ajv";

const schema = new URL("./node_modules/@heroku/mcp-server/dist/utils/app-json.schema.json", import.meta.url);
const check = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(
  JSON.parse(readFileSync(schema, "utf8").replace("http://json-schema.org/draft-04/schema#", "")),
);
if (!check(JSON.parse(readFileSync(process.argv[2], "utf8")))) {
  for (const fault of check.errors) console.log(`app.json${fault.instancePath}: ${fault.message}`);
}
