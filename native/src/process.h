#ifndef WEAVE_PROCESS_H
#define WEAVE_PROCESS_H

#include <node_api.h>

void process_register(napi_env env, napi_value exports);

#endif
