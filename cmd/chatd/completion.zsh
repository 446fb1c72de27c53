#compdef chatd
# Completion of chatd for zsh. In ~/.zshrc, after compinit: source <(chatd completion zsh)
_chatd() {
  local program=EXECUTABLE line value files
  local -a candidates
  (( $+commands[${(Q)words[1]}] )) || [[ -x ${(Q)words[1]} ]] && program=${(Q)words[1]}
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      files=1
    else
      value=${line%%$'\t'*}
      candidates+=("${value//:/\\:}${${line#"$value"}/$'\t'/:}")
    fi
  done < <("$program" complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
  (( $#candidates )) && _describe -t chatd chatd candidates
  if [[ -n $files ]]; then
    compset -P '--[^=]#='
    _files
  fi
}
if [[ ${funcstack[1]} == _chatd ]]; then _chatd "$@"; else compdef _chatd chatd; fi
