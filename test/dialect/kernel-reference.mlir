// RUN: ds-opt %s | ds-opt | FileCheck %s

// CHECK-LABEL: func @meanings
// CHECK: ds.kernel.reference @swiglu(%{{.+}}, %{{.+}}) rows "T" : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
// CHECK-NEXT: ^bb0
// CHECK-NEXT: ds.swiglu
// CHECK-NEXT: ds.yield
// CHECK: ds.kernel.reference @append(%{{.+}}) rows "T"
// CHECK: ds.kernel.reference @columns(%{{.+}}) rows "T*3"
func.func @meanings(%a: tensor<?x64xf32>, %k: !ds.state<[2, 32], f32>, %s: !ds.seq) -> (tensor<?x64xf32>, !ds.state<[2, 32], f32>, tensor<?x8xf32>) {
  %y = ds.kernel.reference @swiglu(%a, %a) rows "T" : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32> {
  ^bb0(%g: tensor<?x64xf32>, %u: tensor<?x64xf32>):
    %z = ds.swiglu %g, %u : tensor<?x64xf32>
    ds.yield %z : tensor<?x64xf32>
  }
  %k1 = ds.kernel.reference @append(%k, %a, %s) rows "T" : (!ds.state<[2, 32], f32>, tensor<?x64xf32>, !ds.seq) -> !ds.state<[2, 32], f32> {
  ^bb0(%st: !ds.state<[2, 32], f32>, %x: tensor<?x64xf32>, %t: !ds.seq):
    %n = ds.append %st, %x, %t : !ds.state<[2, 32], f32>, tensor<?x64xf32>
    ds.yield %n : !ds.state<[2, 32], f32>
  }
  %c = ds.kernel.reference @columns(%y) rows "T*3" : (tensor<?x64xf32>) -> tensor<?x8xf32> {
  ^bb0(%x: tensor<?x64xf32>):
    %zero = arith.constant 0 : index
    %rows = tensor.dim %x, %zero : tensor<?x64xf32>
    %t = tensor.extract_slice %x[0, 8] [%rows, 8] [1, 1] : tensor<?x64xf32> to tensor<?x8xf32>
    ds.yield %t : tensor<?x8xf32>
  }
  return %y, %k1, %c : tensor<?x64xf32>, !ds.state<[2, 32], f32>, tensor<?x8xf32>
}
