// Builds the page: our components with Salesforce's base components. QUOTEJOB_PAGE is the file to write.
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import lwc from "@lwc/rollup-plugin";
import replace from "@rollup/plugin-replace";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const components = process.env.QUOTEJOB_COMPONENTS; // a copy below this folder: packages are found from there
const APEX = "@salesforce/apex/";

// A call of Apex becomes a request to the bridge.
const apex = {
  name: "apex",
  resolveId: (id) => (id.startsWith(APEX) ? `${id}.js` : null),
  load(id) {
    if (!id.startsWith(APEX)) return null;
    const name = JSON.stringify(id.slice(APEX.length, -".js".length));
    return `import { call } from ${JSON.stringify(here("org.js"))}; export default (given) => call(${name}, given);`;
  },
};

export default {
  input: here("main.js"),
  output: { file: process.env.QUOTEJOB_PAGE, format: "iife", inlineDynamicImports: true },
  onwarn: () => {},
  plugins: [
    apex,
    replace({
      preventAssignment: true,
      "process.env.NODE_ENV": JSON.stringify("production"),
      "import.meta.env.SSR": "false",
    }),
    lwc({
      rootDir: here("."),
      modules: [
        ...readdirSync(components).map((name) => ({ name: `c/${name}`, path: `${components}/${name}/${name}.js` })),
        { name: "lightning/empApi", path: here("empApi.js") },
        { npm: "lightning-base-components" },
      ],
    }),
  ],
};
