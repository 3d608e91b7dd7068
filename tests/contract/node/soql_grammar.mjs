// The vendor's own SOQL grammar: where it stops reading each statement, or null for one it reads to the end.
import { createRequire } from "node:module";

const { SOQLParser } = createRequire(import.meta.url)("@salesforce/soql-common/lib/soql-parser");
const parser = SOQLParser({ isApex: false, isMultiCurrencyEnabled: false, apiVersion: 66.0 });

export function judge({ statements }) {
  return statements.map((statement) => {
    const [error] = parser.parseQuery(statement).getParserErrors();
    return error
      ? [error.getLineNumber(), error.getCharacterPositionInLine() + 1, error.getMessage()]
      : null;
  });
}
