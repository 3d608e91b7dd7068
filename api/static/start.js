const ui = SwaggerUIBundle({
  url: "/openapi.yaml",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  onComplete: authorize,
});

// While bin/demo runs, its own org is the caller. Anywhere else the answer is empty, and "Authorize" waits for a header.
async function authorize() {
  const answer = await fetch("/docs/context");
  if (answer.status === 200) {
    ui.preauthorizeApiKey("clientContext", (await answer.json())["x-client-context"]);
  }
}
