/* The addresses of this host's interfaces, and when they change, for JavaScript. */
#ifndef WEAVE_ADDRESS_MODULE_H
#define WEAVE_ADDRESS_MODULE_H

#include <node_api.h>

void address_register(napi_env env, napi_value exports);

#endif
