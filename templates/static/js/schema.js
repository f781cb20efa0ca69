// Shows the description of the interface with Swagger UI, in the place of the plain list.

const viewer = document.querySelector("[data-schema]");
const list = document.querySelector("[data-list]");

if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    url: viewer.dataset.schema,
    domNode: viewer,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    // Nothing is asked of anybody but this shop.
    validatorUrl: null,
    onComplete: () => {
      viewer.hidden = false;
      list.hidden = true;
    },
  });
}
