defmodule Slipring.Native do
  @moduledoc false
  # The functions in Rust, and nothing else. What they answer is said in native/src.

  @on_load :load

  def load do
    :slipring
    |> Application.app_dir("priv/native/slipring_beam")
    |> String.to_charlist()
    |> :erlang.load_nif(0)
  end

  def create(_named, _text, _options), do: not_loaded()
  def open(_named, _text), do: not_loaded()
  def producer(_ring, _owner), do: not_loaded()
  def consumer(_ring, _owner, _policy, _limit), do: not_loaded()
  def finish(_ring), do: not_loaded()
  def close_ring(_ring, _tag), do: not_loaded()
  def lock_memory(_ring), do: not_loaded()
  def use_huge_pages(_ring), do: not_loaded()
  def list, do: not_loaded()
  def unlink(_named, _text), do: not_loaded()
  def info(_ring), do: not_loaded()
  def inspect(_named, _text), do: not_loaded()
  def schemas(_ring), do: not_loaded()
  def add_schema(_ring, _kind, _name, _version, _data), do: not_loaded()
  def schema(_ring, _id), do: not_loaded()

  def send(_tx, _term, _meta, _how, _registry, _prepared), do: not_loaded()
  def send_large(_tx, _term, _meta, _how, _registry, _prepared), do: not_loaded()
  def commit(_tx, _pending, _how), do: not_loaded()
  def send_many(_tx, _terms, _how, _registry), do: not_loaded()
  def check_many(_terms, _limit, _how, _registry), do: not_loaded()
  def check_large(_terms, _limit, _how, _registry), do: not_loaded()
  def watch_room(_tx, _tag), do: not_loaded()
  def why_full(_tx), do: not_loaded()
  def log_choices(_on?), do: not_loaded()
  def choices_logged, do: not_loaded()
  def stats, do: not_loaded()
  def trim(_tx), do: not_loaded()
  def close_producer(_tx, _tag), do: not_loaded()
  def hand_over_producer(_tx, _pid), do: not_loaded()

  def recv(_rx), do: not_loaded()
  def recv_many(_rx, _most, _feeder?), do: not_loaded()
  def recv_dead(_rx), do: not_loaded()
  def watch(_rx, _tag), do: not_loaded()
  def watch_credit(_rx, _tag), do: not_loaded()
  def readable(_rx), do: not_loaded()
  def why_empty(_rx), do: not_loaded()
  def unwatch(_id), do: not_loaded()
  def feeder(_rx), do: not_loaded()
  def set_feeder(_rx, _expected, _feeder), do: not_loaded()
  def set_active(_rx, _active?), do: not_loaded()
  def close_consumer(_rx, _tag), do: not_loaded()
  def hand_over_consumer(_rx, _pid), do: not_loaded()

  def dtype(_type, _byte_order), do: not_loaded()
  def select(_nature, _no_value, _no_json), do: not_loaded()

  def content(_lease, _asked?), do: not_loaded()
  def copy_out(_lease), do: not_loaded()
  def read_meta(_lease), do: not_loaded()
  def release(_lease), do: not_loaded()
  def ack(_lease), do: not_loaded()
  def nack(_lease), do: not_loaded()
  def in_place(_lease, _bytes), do: not_loaded()

  def encode(_term, _bytes?, _registry, _prepared), do: not_loaded()
  def encode_large(_term, _bytes?, _registry, _prepared), do: not_loaded()
  def decode(_bytes, _options, _forms), do: not_loaded()
  def decode_large(_bytes, _options, _forms), do: not_loaded()
  def decode_frame(_format, _content, _options, _forms), do: not_loaded()
  def decode_frame_large(_format, _content, _options, _forms), do: not_loaded()
  def decode_lease(_lease, _options, _forms), do: not_loaded()
  def decode_lease_large(_lease, _options, _forms), do: not_loaded()
  def describe_frame(_format, _content, _forms), do: not_loaded()
  def describe_lease(_lease, _forms), do: not_loaded()

  def json_encode(_term, _registry, _prepared), do: not_loaded()
  def json_encode_large(_term, _registry, _prepared), do: not_loaded()
  def json_decode(_text, _options, _forms), do: not_loaded()
  def json_decode_large(_text, _options, _forms), do: not_loaded()

  defp not_loaded, do: :erlang.nif_error(:nif_not_loaded)
end
