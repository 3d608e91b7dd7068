// Salesforce's rules for components. Tests by Jest wait with a timer, and have Jest's rules too.
import lwc from "@salesforce/eslint-config-lwc";
import jest from "eslint-plugin-jest";

export default [
  ...lwc.configs.recommended,
  { files: ["**/__tests__/**"], ...jest.configs["flat/recommended"], settings: { jest: { version: 29 } } },
  { files: ["**/__tests__/**"], rules: { "@lwc/lwc/no-async-operation": "off" } },
];
