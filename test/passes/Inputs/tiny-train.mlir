// The training entry of a small Llama with tied embeddings, as the frontend
// makes it.
module attributes {ds.model = "tiny", ds.compute = bf16,
                   ds.config = {vocab_size = 301 : i64, hidden_size = 64 : i64,
                                num_hidden_layers = 3 : i64,
                                max_position_embeddings = 128 : i64}} {
  ds.weight @embed {labels = ["embed.weight"], rows = array<i64: 301>} : tensor<301x64xbf16>
  ds.weight @norm {labels = ["norm.weight"], rows = array<i64: 64>} : tensor<64xbf16>
  ds.weight @layer.norm1 {labels = ["l.{i}.norm1"], rows = array<i64: 64>, layers = array<i64: 0, 3>} : tensor<64xbf16>
  ds.weight @layer.norm2 {labels = ["l.{i}.norm2"], rows = array<i64: 64>, layers = array<i64: 0, 3>} : tensor<64xbf16>
  ds.weight @layer.attention.q {labels = ["l.{i}.q"], rows = array<i64: 64>, layers = array<i64: 0, 3>} : tensor<64x64xbf16>
  ds.weight @layer.attention.k {labels = ["l.{i}.k"], rows = array<i64: 16>, layers = array<i64: 0, 3>} : tensor<16x64xbf16>
  ds.weight @layer.attention.v {labels = ["l.{i}.v"], rows = array<i64: 16>, layers = array<i64: 0, 3>} : tensor<16x64xbf16>
  ds.weight @layer.attention.o {labels = ["l.{i}.o"], rows = array<i64: 64>, layers = array<i64: 0, 3>} : tensor<64x64xbf16>
  ds.weight @layer.mlp.gate {labels = ["l.{i}.gate"], rows = array<i64: 176>, layers = array<i64: 0, 3>} : tensor<176x64xbf16>
  ds.weight @layer.mlp.up {labels = ["l.{i}.up"], rows = array<i64: 176>, layers = array<i64: 0, 3>} : tensor<176x64xbf16>
  ds.weight @layer.mlp.down {labels = ["l.{i}.down"], rows = array<i64: 64>, layers = array<i64: 0, 3>} : tensor<64x176xbf16>
  func.func private @layer(%x: tensor<?x64xf32>, %s: !ds.seq, %k: !ds.state<[2, 8], bf16>, %v: !ds.state<[2, 8], bf16>) -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) {
    %g1 = ds.get_weight @layer.norm1 : tensor<64xbf16>
    %h = ds.rms_norm %x, %g1 eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
    %wq = ds.get_weight @layer.attention.q : tensor<64x64xbf16>
    %q = ds.linear %h, %wq : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
    %qr = ds.rope %q, %s heads 8 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x64xbf16>
    %wk = ds.get_weight @layer.attention.k : tensor<16x64xbf16>
    %kk = ds.linear %h, %wk : (tensor<?x64xbf16>, tensor<16x64xbf16>) -> tensor<?x16xbf16>
    %kr = ds.rope %kk, %s heads 2 <half_split, dims = 8, theta = 1.0e4 : f64> : tensor<?x16xbf16>
    %k1 = ds.append %k, %kr, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
    %wv = ds.get_weight @layer.attention.v : tensor<16x64xbf16>
    %vv = ds.linear %h, %wv : (tensor<?x64xbf16>, tensor<16x64xbf16>) -> tensor<?x16xbf16>
    %v1 = ds.append %v, %vv, %s : !ds.state<[2, 8], bf16>, tensor<?x16xbf16>
    %y = ds.attend %qr, %k1, %v1, %s heads 8 scale 0.353 : (tensor<?x64xbf16>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>) -> tensor<?x64xbf16>
    %wo = ds.get_weight @layer.attention.o : tensor<64x64xbf16>
    %o = ds.linear %y, %wo : (tensor<?x64xbf16>, tensor<64x64xbf16>) -> tensor<?x64xbf16>
    %o32 = arith.extf %o : tensor<?x64xbf16> to tensor<?x64xf32>
    %x1 = arith.addf %x, %o32 : tensor<?x64xf32>
    %g2 = ds.get_weight @layer.norm2 : tensor<64xbf16>
    %h1 = ds.rms_norm %x1, %g2 eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
    %wg = ds.get_weight @layer.mlp.gate : tensor<176x64xbf16>
    %g = ds.linear %h1, %wg : (tensor<?x64xbf16>, tensor<176x64xbf16>) -> tensor<?x176xbf16>
    %wu = ds.get_weight @layer.mlp.up : tensor<176x64xbf16>
    %u = ds.linear %h1, %wu : (tensor<?x64xbf16>, tensor<176x64xbf16>) -> tensor<?x176xbf16>
    %z = ds.swiglu %g, %u : tensor<?x176xbf16>
    %wd = ds.get_weight @layer.mlp.down : tensor<64x176xbf16>
    %d = ds.linear %z, %wd : (tensor<?x176xbf16>, tensor<64x176xbf16>) -> tensor<?x64xbf16>
    %d32 = arith.extf %d : tensor<?x64xbf16> to tensor<?x64xf32>
    %x2 = arith.addf %x1, %d32 : tensor<?x64xf32>
    return %x2, %k1, %v1 : tensor<?x64xf32>, !ds.state<[2, 8], bf16>, !ds.state<[2, 8], bf16>
  }
  func.func @train(%s: !ds.seq, %k: !ds.state<[2, 8], bf16, layers = 3> {ds.name = "keys"}, %v: !ds.state<[2, 8], bf16, layers = 3> {ds.name = "values"}) -> (tensor<?x1xf32>, tensor<?x1xf32>) attributes {ds.entry = "train"} {
    %e = ds.get_weight @embed : tensor<301x64xbf16>
    %x = ds.embedding %e, %s : tensor<301x64xbf16> -> tensor<?x64xf32>
    %y, %k1, %v1 = ds.run @layer(%x, %s, %k, %v) layers 0 count 3 : (tensor<?x64xf32>, !ds.seq, !ds.state<[2, 8], bf16, layers = 3>, !ds.state<[2, 8], bf16, layers = 3>) -> (tensor<?x64xf32>, !ds.state<[2, 8], bf16, layers = 3>, !ds.state<[2, 8], bf16, layers = 3>)
    %g = ds.get_weight @norm : tensor<64xbf16>
    %h = ds.rms_norm %y, %g eps 1.0e-6 : (tensor<?x64xf32>, tensor<64xbf16>) -> tensor<?x64xbf16>
    %r = ds.select_rows %h, %s : tensor<?x64xbf16>
    %z = ds.linear %r, %e : (tensor<?x64xbf16>, tensor<301x64xbf16>) -> tensor<?x301xf32>
    %t = ds.row_input "targets", %s : tensor<?x1xi32>
    %i = ds.row_input "inverse_temperature", %s : tensor<?x1xf32>
    %p, %lse = ds.log_prob %z, %t, %i : (tensor<?x301xf32>, tensor<?x1xi32>, tensor<?x1xf32>) -> (tensor<?x1xf32>, tensor<?x1xf32>)
    %n = arith.negf %p : tensor<?x1xf32>
    %w = ds.row_input "token_weight", %s : tensor<?x1xf32>
    %l = arith.mulf %n, %w : tensor<?x1xf32>
    return %l, %p : tensor<?x1xf32>, tensor<?x1xf32>
  }
}
