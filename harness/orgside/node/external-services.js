// Rules of External Services, AppLink and agent actions, as docs/org/in-the-org.md names them with their sources.
import { readFileSync } from "node:fs";

const words = readFileSync(new URL("../reserved.txt", import.meta.url), "utf8");
const reserved = new Set(words.trim().split(/\s+/));
// Names that Apex encodes, and why they stay. Apex of the package and stubs.py use the encoded name: z0hint.
const kept = new Set([
  ...["Idempotency-Key", "limit", "sort"], // parameters with an alias: idempotencyKey, pageSize, sortBy
  ...["JobType.object", "Parameter.type", "Parameter.default"], // GET /api/jobtypes: the words of a class in Python
  ...["WriteCount.object", "Planned.currency", "Total.currency", "RegionTotal.currency", "DiscountTotal.currency"], // dry run
  "Allocation.limit", // the forecast: what Salesforce calls it in its own limits
  "FailureGroup.hint", // as the console and the command line call it
]);
// What an org answers to, not what it calls.
const isCallback = (location) => location.pointer.includes("/callbacks/");
const methods = ["get", "post", "put", "patch", "delete"];

function marks(holder) {
  const action = holder?.["x-sfdc"]?.agent?.action;
  return typeof action?.isUserInput === "boolean" && typeof action?.isDisplayable === "boolean";
}

const rules = {
  "root-server": () => ({
    Root(root, { report }) {
      if (root.servers?.length !== 1 || root.servers[0].url !== "/") report({ message: "servers should be [{url: /}]" });
      const topic = root["x-sfdc"]?.agent?.topic ?? {};
      for (const name of ["name", "classificationDescription", "scope", "instructions"]) {
        if (!topic[name]?.length) report({ message: `x-sfdc.agent.topic.${name} is missing` });
      }
    },
  }),
  "number-format": () => ({
    Schema(schema, { report }) {
      if (schema.type === "integer" && !["int32", "int64"].includes(schema.format))
        report({ message: "an integer needs the format int32 or int64, or its default is lost" });
    },
  }),
  "no-null": () => ({
    Schema(schema, { report }) {
      if (schema.default === null) report({ message: "null is no default" });
      if (schema.enum?.includes(null)) report({ message: "null is no value of an enum" });
    },
  }),
  parameter: () => ({
    Parameter(parameter, { report }) {
      for (const name of ["explode", "allowReserved", "deprecated"])
        if (name in parameter) report({ message: `an agent action takes no parameter with ${name}` });
      if (parameter.in === "cookie") report({ message: "an agent action takes no cookie" });
      if (!parameter.description || parameter.description.length > 1333)
        report({ message: "a parameter needs a description of at most 1,333 characters" });
    },
  }),
  operation: () => ({
    PathItem(path, { report, location }) {
      if (isCallback(location)) return;
      for (const method of methods.filter((name) => name in path)) {
        const operation = path[method];
        for (const name of ["security", "servers", "deprecated"])
          if (name in operation) report({ message: `${operation.operationId} should not have ${name}` });
        if (method === "get" && operation.requestBody) report({ message: "a GET has no body" });
        const grant = operation["x-sfdc"]?.heroku?.authorization ?? {};
        if (!grant.externalClientApp || !grant.permissionSet || "connectedApp" in grant)
          report({ message: `${operation.operationId} needs externalClientApp and permissionSet, no connectedApp` });
        if (!/^[A-Za-z][A-Za-z0-9]*$/.test(operation.operationId))
          report({ message: `${operation.operationId} is not a name in Apex` });
      }
    },
    Response(response, { report }) {
      if (response.headers) report({ message: "External Services takes no response headers" });
    },
  }),
  "apex-name": () => {
    const check = (name, report, owner = "") => {
      if (!kept.has(owner + name) && (reserved.has(name.toLowerCase()) || !/^[A-Za-z][A-Za-z0-9]*$/.test(name)))
        report({ message: `Apex would encode the name ${name}` });
    };
    return {
      Parameter: (parameter, { report }) => check(parameter.name, report),
      Schema: (schema, { report, location }) => {
        const owner = `${location.pointer.split("/").pop()}.`;
        Object.keys(schema.properties ?? {}).forEach((name) => check(name, report, owner));
      },
    };
  },
  "agent-action": () => ({
    PathItem(path, { report, location }) {
      if (isCallback(location)) return;
      for (const operation of methods.filter((name) => name in path).map((name) => path[name])) {
        if (!operation["x-sfdc"]?.agent?.action?.publishAsAgentAction) continue;
        for (const parameter of [...(path.parameters ?? []), ...(operation.parameters ?? [])])
          if (!marks(parameter.schema)) report({ message: `parameter ${parameter.name} says not who fills it in` });
        for (const [status, answer] of Object.entries(operation.responses)) {
          const schema = answer.content?.["application/json"]?.schema ?? {};
          if (status >= "300") continue;
          if (schema.$ref) report({ message: "the answer of an agent action should be written in place" });
          for (const [name, field] of Object.entries(schema.properties ?? {}))
            if (!marks(field)) report({ message: `${name} of an agent action says not whether it is shown` });
        }
      }
    },
  }),
};

export default () => ({ id: "external-services", rules: { oas3: rules } });
