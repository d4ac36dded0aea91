/* Requests to the kernel for JavaScript. */
#ifndef WEAVE_KERNEL_MODULE_H
#define WEAVE_KERNEL_MODULE_H

#include <node_api.h>

void kernel_register(napi_env env, napi_value exports);

#endif
