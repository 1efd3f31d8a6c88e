// RUN: ds-opt %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt %t | diff %t -
// RUN: ds-opt --mlir-print-op-generic %s | ds-opt | diff %t -

// CHECK-LABEL: func @forward
// CHECK: ds.kernel.attention @plain %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} heads 4 scale 3.530000e-01 : (tensor<?x32xbf16>, <[2, 8], bf16>, <[2, 4], bf16>) -> tensor<?x16xbf16>{{$}}
// CHECK: %{{.+}}, %{{.+}} = ds.kernel.attention @kept {{.*}} -> tensor<?x16xbf16>, tensor<?x4xf32>
func.func @forward(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 4], bf16>, %s: !ds.seq) {
  %y = ds.kernel.attention @plain %q, %k, %v, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 4], bf16>) -> tensor<?x16xbf16>
  %z, %lse = ds.kernel.attention @kept %q, %k, %v, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 4], bf16>) -> tensor<?x16xbf16>, tensor<?x4xf32>
  return
}

// CHECK-LABEL: func @backward
// CHECK: ds.kernel.attention_delta @delta %{{.+}}, %{{.+}} heads 4 : (tensor<?x16xbf16>, tensor<?x16xbf16>) -> tensor<?x4xf32>
// CHECK: ds.kernel.attention_backward_query @dq {{.*}} heads 4 scale 3.530000e-01 : {{.*}} -> tensor<?x32xbf16>
// CHECK: ds.kernel.attention_backward_keys @dkv {{.*}} heads 4 scale 3.530000e-01 : {{.*}} -> (tensor<?x16xbf16>, tensor<?x8xbf16>)
func.func @backward(%q: tensor<?x32xbf16>, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 4], bf16>, %y: tensor<?x16xbf16>, %lse: tensor<?x4xf32>, %dy: tensor<?x16xbf16>, %s: !ds.seq) {
  %delta = ds.kernel.attention_delta @delta %y, %dy heads 4 : (tensor<?x16xbf16>, tensor<?x16xbf16>) -> tensor<?x4xf32>
  %dq = ds.kernel.attention_backward_query @dq %q, %k, %v, %lse, %delta, %dy, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 4], bf16>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x16xbf16>, !ds.seq) -> tensor<?x32xbf16>
  %dk, %dv = ds.kernel.attention_backward_keys @dkv %q, %k, %v, %lse, %delta, %dy, %s heads 4 scale 0.353 : (tensor<?x32xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 4], bf16>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x16xbf16>, !ds.seq) -> (tensor<?x16xbf16>, tensor<?x8xbf16>)
  return
}
