// RUN: ds-opt --ds-fuse-swiglu %s > %t
// RUN: FileCheck %s < %t
// RUN: ds-opt --ds-fuse-swiglu %t | diff %t -

// CHECK: ds.weight @mlp.gate_up {labels = ["gate", "up"], layers = array<i64: 0, 2>, paired, rows = array<i64: 176, 176>} : tensor<352x64xbf16>
// CHECK-NOT: ds.weight @mlp.gate
// CHECK-NOT: ds.weight @mlp.up
ds.weight @mlp.gate {labels = ["gate"], rows = array<i64: 176>, layers = array<i64: 0, 2>} : tensor<176x64xbf16>
ds.weight @mlp.up {labels = ["up"], rows = array<i64: 176>, layers = array<i64: 0, 2>} : tensor<176x64xbf16>
// CHECK-LABEL: func @gated
// CHECK-SAME: %[[X:.+]]: tensor<?x64xbf16>
// CHECK: %[[W:.+]] = ds.get_weight @mlp.gate_up
// CHECK: %[[Y:.+]] = ds.gated_linear %[[X]], %[[W]]
// CHECK-NOT: ds.swiglu
// CHECK: return %[[Y]]
func.func @gated(%x: tensor<?x64xbf16>) -> tensor<?x176xbf16> {
  %wg = ds.get_weight @mlp.gate : tensor<176x64xbf16>
  %wu = ds.get_weight @mlp.up : tensor<176x64xbf16>
  %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<176x64xbf16>) -> tensor<?x176xbf16>
  %u = ds.linear %x, %wu : (tensor<?x64xbf16>, tensor<176x64xbf16>) -> tensor<?x176xbf16>
  %y = ds.swiglu %g, %u : tensor<?x176xbf16>
  return %y : tensor<?x176xbf16>
}

// Another operation reads the gate.
ds.weight @a.gate {labels = ["a.gate"], rows = array<i64: 32>} : tensor<32x64xbf16>
ds.weight @a.up {labels = ["a.up"], rows = array<i64: 32>} : tensor<32x64xbf16>
// CHECK-LABEL: func @gate_read_again
// CHECK-NOT: ds.gated_linear
// CHECK: ds.swiglu
func.func @gate_read_again(%x: tensor<?x64xbf16>) -> (tensor<?x32xbf16>, tensor<?x32xbf16>) {
  %wg = ds.get_weight @a.gate : tensor<32x64xbf16>
  %wu = ds.get_weight @a.up : tensor<32x64xbf16>
  %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %u = ds.linear %x, %wu : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %y = ds.swiglu %g, %u : tensor<?x32xbf16>
  return %y, %g : tensor<?x32xbf16>, tensor<?x32xbf16>
}

// A bias stays where it is.
ds.weight @b.gate {labels = ["b.gate"], rows = array<i64: 32>} : tensor<32x64xbf16>
ds.weight @b.up {labels = ["b.up"], rows = array<i64: 32>} : tensor<32x64xbf16>
ds.weight @b.bias {labels = ["b.bias"], rows = array<i64: 32>} : tensor<32xbf16>
// CHECK-LABEL: func @has_bias
// CHECK-NOT: ds.gated_linear
// CHECK: ds.swiglu
func.func @has_bias(%x: tensor<?x64xbf16>) -> (tensor<?x32xbf16>) {
  %wg = ds.get_weight @b.gate : tensor<32x64xbf16>
  %wu = ds.get_weight @b.up : tensor<32x64xbf16>
  %b = ds.get_weight @b.bias : tensor<32xbf16>
  %g = ds.linear %x, %wg bias %b : (tensor<?x64xbf16>, tensor<32x64xbf16>, tensor<32xbf16>) -> tensor<?x32xbf16>
  %u = ds.linear %x, %wu : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %y = ds.swiglu %g, %u : tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}

// Rows of two labels do not pair.
ds.weight @c.gate {labels = ["c.gate"], rows = array<i64: 32>} : tensor<32x64xbf16>
ds.weight @c.up {labels = ["p", "q"], rows = array<i64: 16, 16>} : tensor<32x64xbf16>
// CHECK-LABEL: func @two_labels
// CHECK-NOT: ds.gated_linear
// CHECK: ds.swiglu
func.func @two_labels(%x: tensor<?x64xbf16>) -> (tensor<?x32xbf16>) {
  %wg = ds.get_weight @c.gate : tensor<32x64xbf16>
  %wu = ds.get_weight @c.up : tensor<32x64xbf16>
  %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %u = ds.linear %x, %wu : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %y = ds.swiglu %g, %u : tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}

// One weight is both, or is read elsewhere.
ds.weight @d {labels = ["d"], rows = array<i64: 32>} : tensor<32x64xbf16>
// CHECK-LABEL: func @read_twice
// CHECK-NOT: ds.gated_linear
// CHECK: ds.swiglu
func.func @read_twice(%x: tensor<?x64xbf16>) -> (tensor<?x32xbf16>) {
  %wg = ds.get_weight @d : tensor<32x64xbf16>
  %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %u = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %y = ds.swiglu %g, %u : tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}

// The weights have other layers.
ds.weight @e.gate {labels = ["e.gate"], rows = array<i64: 32>, layers = array<i64: 0, 2>} : tensor<32x64xbf16>
ds.weight @e.up {labels = ["e.up"], rows = array<i64: 32>, layers = array<i64: 0, 3>} : tensor<32x64xbf16>
// CHECK-LABEL: func @other_layers
// CHECK-NOT: ds.gated_linear
// CHECK: ds.swiglu
func.func @other_layers(%x: tensor<?x64xbf16>) -> (tensor<?x32xbf16>) {
  %wg = ds.get_weight @e.gate : tensor<32x64xbf16>
  %wu = ds.get_weight @e.up : tensor<32x64xbf16>
  %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %u = ds.linear %x, %wu : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %y = ds.swiglu %g, %u : tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}

// The inputs differ.
ds.weight @f.gate {labels = ["f.gate"], rows = array<i64: 32>} : tensor<32x64xbf16>
ds.weight @f.up {labels = ["f.up"], rows = array<i64: 32>} : tensor<32x64xbf16>
// CHECK-LABEL: func @other_inputs
// CHECK-NOT: ds.gated_linear
// CHECK: ds.swiglu
func.func @other_inputs(%x: tensor<?x64xbf16>, %z: tensor<?x64xbf16>) -> (tensor<?x32xbf16>) {
  %wg = ds.get_weight @f.gate : tensor<32x64xbf16>
  %wu = ds.get_weight @f.up : tensor<32x64xbf16>
  %g = ds.linear %x, %wg : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %u = ds.linear %z, %wu : (tensor<?x64xbf16>, tensor<32x64xbf16>) -> tensor<?x32xbf16>
  %y = ds.swiglu %g, %u : tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}
