#ifndef WEAVE_SEGMENT_MODULE_H
#define WEAVE_SEGMENT_MODULE_H

#include <node_api.h>

void segment_register(napi_env env, napi_value exports);

#endif
