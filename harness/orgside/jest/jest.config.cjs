// A copy of the components lies beside node_modules, so that modules are found from it.
const { jestConfig } = require("@salesforce/sfdx-lwc-jest/config");

module.exports = { ...jestConfig, testMatch: ["**/__tests__/**/*.test.js"] };
