// The form of Apex and of the components. The parser of Apex is Salesforce's own, as a program.
export default {
  plugins: [import.meta.resolve("prettier-plugin-apex")],
  printWidth: 120,
  tabWidth: 4,
  trailingComma: "none",
  overrides: [
    { files: "*.cls", options: { parser: "apex", apexStandaloneParser: "native" } },
    { files: "*.html", options: { parser: "lwc" } },
  ],
};
