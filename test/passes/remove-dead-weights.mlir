// RUN: ds-opt --ds-remove-dead-weights %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-remove-dead-weights %t | diff %t -

// CHECK-NOT: @never
// CHECK-NOT: @read_by_nothing
// CHECK: ds.weight @used
ds.weight @never {labels = ["a"], rows = array<i64: 8>} : tensor<8xf32>
ds.weight @read_by_nothing {labels = ["b"], rows = array<i64: 8>} : tensor<8xf32>
ds.weight @used {labels = ["c"], rows = array<i64: 8>} : tensor<8xf32>

// CHECK-LABEL: func @f
// CHECK-NEXT: ds.get_weight @used
// CHECK-NEXT: ds.rms_norm
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %a = ds.get_weight @read_by_nothing : tensor<8xf32>
  %b = ds.get_weight @used : tensor<8xf32>
  %y = ds.rms_norm %x, %b eps 1.0e-6 : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
