"""gRPC over HTTP/2 on the event loop: nghttp2 implements the protocol, gRPC's mapping on top of it is here.

The mapping is https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""
