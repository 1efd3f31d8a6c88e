//===- Ds.td - The ds dialect: every definition file, in order ------------===//
#ifndef DS_DIALECT_DS_TD
#define DS_DIALECT_DS_TD
include "dialect/Base.td"
include "dialect/Types.td"
include "dialect/Weights.td"
include "dialect/Window.td"
include "dialect/Training.td"
include "dialect/Optimiser.td"
include "dialect/Core.td"
include "dialect/Attention.td"
include "dialect/Moe.td"
include "dialect/Mla.td"
include "dialect/Nsa.td"
include "dialect/Dsa.td"
include "dialect/Kernel.td"
include "dialect/KernelAttention.td"
include "dialect/KernelTraining.td"
include "dialect/KernelMoe.td"
include "dialect/KernelMla.td"
include "dialect/KernelNsa.td"
include "dialect/KernelDsa.td"
include "dialect/Memory.td"
#endif
